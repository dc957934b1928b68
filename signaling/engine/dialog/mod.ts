export { DialogTable } from './dialog-table.ts';
export { dialogRequest, nextHop, refreshTarget, uacDialog, uasDialog, withTag, type Dialog } from './dialog.ts';
