/**
 * An answer that AWS would give as an error. Handlers throw it by `ctx.error(code, message)`, where the compiler knows the operation's codes;
 * the wire steps throw it with the codes that every service shares. Anything else thrown becomes InternalFailure, 500, and is logged.
 */
export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly code: string;
  /** HTTP status; when undefined the model's, else 400. */
  readonly status: number | undefined;
  /** Members of the error's own shape beyond message, e.g. the failing field. */
  readonly fields: Record<string, unknown>;

  constructor(code: string, message: string, options: { status?: number; fields?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.fields = options.fields ?? {};
  }
}
