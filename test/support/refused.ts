/** Asserts that a call of an AWS client fails with exactly this error. */
import assert from 'node:assert/strict';

export function refused(call: Promise<unknown>, name: string, message?: string | RegExp, status?: number): Promise<void> {
  return assert.rejects(call, (error: { name: string; message: string; $metadata?: { httpStatusCode?: number } }) => {
    assert.equal(error.name, name, error.message);
    if (typeof message === 'string') assert.equal(error.message, message);
    else if (message) assert.match(error.message, message);
    if (status !== undefined) assert.equal(error.$metadata?.httpStatusCode, status);
    return true;
  });
}
