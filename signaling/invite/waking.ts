import type { Binding } from '../register/mod.ts';
import type { B2buaParts } from './parts.ts';
import type { Destination } from './route.ts';

/** Between looks at the registry while a device is being woken. */
const LOOK_MS = 500;

/**
 * A device that was woken may register at another node of the PoP: whichever comes first. `elsewhere`: destinations at
 * other nodes; those that were there before are other devices of the user.
 */
export function wakeDevice(
  parts: B2buaParts,
  owner: { readonly tenant: string; readonly user: string; readonly binding: Binding },
  here: (binding: Binding) => Destination,
  elsewhere: () => Promise<readonly Destination[]>,
  before: readonly Destination[],
): Promise<Destination | undefined> {
  const known = new Set(before.map(({ name }) => name));
  return new Promise((resolve) => {
    let over = false;
    let takeBack = () => {};
    const settle = (destination: Destination | undefined) => {
      over = true;
      takeBack();
      resolve(destination);
    };
    const look = async () => {
      const found = (await elsewhere()).find(({ name }) => !known.has(name));
      if (over) return;
      if (found) settle(found);
      else takeBack = parts.later(LOOK_MS, () => void look());
    };
    takeBack = parts.later(LOOK_MS, () => void look());
    const { tenant, user, binding } = owner;
    const woken = parts.wakeups?.wake(tenant, user, binding) ?? Promise.resolve(undefined);
    void woken.then((bound) => (over ? undefined : settle(bound && here(bound))));
  });
}
