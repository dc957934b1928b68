export { DialogTable } from './dialog-table.ts';
export { dialogRequest, nextHop, refreshTarget, uacDialog, uasDialog, withTag, type Dialog } from './dialog.ts';
export {
  agree,
  giveUpAfterMs,
  lists,
  MIN_SE,
  sessionExpires,
  tooOften,
  type Refresher,
  type SessionExpires,
} from './session-expires.ts';
