/** Large reports are read on a thread of their own: the server answers others meanwhile, and the memory of a hostile one has its limit here. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FormatName } from './formats/formats.ts';
import { parseReport, type ReportFile } from './parsed-report.ts';

const { format, files } = workerData as { format: FormatName; files: ReportFile[] };
parentPort!.postMessage(await parseReport(format, files));
