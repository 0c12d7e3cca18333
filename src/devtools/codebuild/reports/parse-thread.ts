/** Large reports are read on a thread of their own: the server answers others meanwhile, and the memory of a hostile one has its limit here. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FormatName } from './formats/formats.ts';
import { parseReport, type ReportFile } from './parsed-report.ts';

export interface ParseOrder {
  format: FormatName;
  files: ReportFile[];
}

const { format, files } = workerData as ParseOrder;
parentPort!.postMessage(await parseReport(format, files));
