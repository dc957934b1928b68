export { openRecordingFolder } from './io/folder.ts';
export { Recordings, type ClosedRecording, type RecordingFolder, type RecordingOptions } from './recordings.ts';
