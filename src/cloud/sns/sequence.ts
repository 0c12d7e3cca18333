/** The sequence number of a FIFO topic's message: twenty digits, as AWS's are. */
export function sequenceNumber(seq: number): string {
  return `1${String(seq).padStart(19, '0')}`;
}
