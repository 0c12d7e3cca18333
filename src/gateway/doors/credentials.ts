import { buildCredentials } from '../../devtools/codebuild/credentials.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Door } from './index.ts';

/**
 * `GET /v2/credentials/<token>`: the container-credentials endpoint of the AWS SDKs (AWS_CONTAINER_CREDENTIALS_FULL_URI). The token is the
 * authentication: it was given to one build's commands and is good for as long as that build runs.
 */
export const credentials: Door = (app, { platform }) => {
  app.get<{ Params: { token: string } }>('/v2/credentials/:token', async (request, reply) => {
    try {
      const found = await buildCredentials(platform, request.params.token);
      if (!found) return await reply.code(404).send({ code: 'NoSuchCredentials', message: 'There are no credentials for this token.' });
      const { accessKeyId, secretAccessKey, sessionToken, expiration } = found.credentials;
      return await reply.send({
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        Token: sessionToken,
        Expiration: expiration.toISOString(),
        RoleArn: found.roleArn,
      });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return await reply.code(403).send({ code: error.code, message: error.message });
    }
  });
};
