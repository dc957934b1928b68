declare const brand: unique symbol;

/** A string that cannot be mixed up with another kind of string. */
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** The customer whose AoRs, trunks, quotas, rules and CDRs these are. Part of every key. */
export type TenantId = Branded<string, 'TenantId'>;

/** A node: one process of one role, unique within the world. */
export type NodeId = Branded<string, 'NodeId'>;

/** A point of presence: the nodes that stand at one place. */
export type PopId = Branded<string, 'PopId'>;

export const tenantId = (text: string): TenantId => text as TenantId;
export const nodeId = (text: string): NodeId => text as NodeId;
export const popId = (text: string): PopId => text as PopId;
