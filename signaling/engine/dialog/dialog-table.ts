import { dialogKey, type Dialog } from './dialog.ts';

/** All dialogs, by their tags and by the name that the control protocol gives them. */
export class DialogTable {
  readonly #byTags = new Map<string, Dialog>();
  /** Forked INVITEs make several dialogs of one id; the confirmed one, else the latest, answers to it. */
  readonly #byId = new Map<string, Set<Dialog>>();

  get size(): number {
    return this.#byTags.size;
  }

  add(dialog: Dialog): void {
    this.#byTags.set(dialogKey(dialog.callId, dialog.localTag, dialog.remoteTag), dialog);
    const same = this.#byId.get(dialog.id);
    if (same) same.add(dialog);
    else this.#byId.set(dialog.id, new Set([dialog]));
  }

  find(callId: string, localTag: string, remoteTag: string): Dialog | undefined {
    return this.#byTags.get(dialogKey(callId, localTag, remoteTag));
  }

  byId(id: string): Dialog | undefined {
    const same = this.#byId.get(id);
    if (!same) return undefined;
    let latest: Dialog | undefined;
    for (const dialog of same) {
      if (dialog.state === 'confirmed') return dialog;
      latest = dialog;
    }
    return latest;
  }

  /** Every dialog with this id: the forks of one INVITE. */
  forks(id: string): readonly Dialog[] {
    return [...(this.#byId.get(id) ?? [])];
  }

  remove(dialog: Dialog): void {
    dialog.state = 'ended';
    this.#byTags.delete(dialogKey(dialog.callId, dialog.localTag, dialog.remoteTag));
    const same = this.#byId.get(dialog.id);
    if (!same) return;
    same.delete(dialog);
    if (same.size === 0) this.#byId.delete(dialog.id);
  }

  clear(): void {
    this.#byTags.clear();
    this.#byId.clear();
  }
}
