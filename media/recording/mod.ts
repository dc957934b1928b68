export { openRecordingFolder } from './io/folder.ts';
export {
  Recordings,
  type ClosedRecording,
  type ClosedWhy,
  type RecordingFolder,
  type RecordingOptions,
} from './recordings.ts';
