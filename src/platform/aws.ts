/**
 * Calls of one service by another: always by its AWS API, as somebody, through the same validation, authorization and record as a call from
 * outside. In process by default; `PENSTOCK_ENDPOINT_<SERVICE>` sends a service's calls to that endpoint with real signatures instead.
 */

import type { Principal } from './principal.ts';
import type { Input, OperationName, Output, ServiceName } from './service.ts';

type Methods<S extends ServiceName> = {
  [O in OperationName<S> as Uncapitalize<O>]: (input: Input<S, O>) => Promise<Output<S, O>>;
};

/** Typed clients of every service: `clients.codebuild.startBuild({ projectName })`. Errors are AwsError with the service's codes. */
export type Clients = { [S in ServiceName]: Methods<S> };

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  expiration: Date;
}

export interface AwsClients {
  /**
   * As the role that the user gave a service: `service` (e.g. `codebuild`) assumes it by STS, so its trust policy must allow
   * `codebuild.amazonaws.com`; AccessDenied if not. Sessions are kept until shortly before they expire.
   */
  as(who: { role: string; service: string; sessionName: string; region: string; account?: string }): Promise<Clients>;
  /**
   * As the service itself (AWS-owned work that needs no role, e.g. writing a trigger's notification). Resource policies see the service
   * principal, `account` as `aws:SourceAccount` and `sourceArn` as `aws:SourceArn`.
   */
  asService(service: string, where: { account: string; region: string; sourceArn?: string }): Clients;
  /** As this principal, on whose behalf a handler goes on. `via` names the service that does it (`kms:ViaService`, `aws:CalledVia`). */
  asPrincipal(principal: Principal, region: string, via?: string): Clients;
  /** Temporary credentials of a role for users' code (a build), by the same assumption as `as`. */
  credentials(who: { role: string; service: string; sessionName: string; region: string; durationSeconds?: number }): Promise<Credentials>;
}
