import type { Transaction } from '../../../platform/platform.ts';
export async function wakeAlarms(_tx: Transaction, _metrics: string[]): Promise<void> {}
