/** A report could not be made, or not be finished; the build's author can do something about it. */
export class ReportFailure extends Error {
  override readonly name = 'ReportFailure';
}
