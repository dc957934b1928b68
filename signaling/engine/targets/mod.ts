export { DOWN_MS, DownList } from './down-list.ts';
export { fromHosts, parseHosts, type Hosts } from './hosts-file.ts';
export { locate, type Located, type Locating } from './locate.ts';
export {
  queryKey,
  type AddressRecord,
  type DnsRecord,
  type NaptrRecord,
  type Query,
  type SrvRecord,
} from './records.ts';
export { RecordCache } from './record-cache.ts';
export { srvOrder } from './srv-order.ts';
export { defaultPort, protocolOf, targetKey, type Protocol, type Target } from './target.ts';
