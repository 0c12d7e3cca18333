import { signingCertificate } from '../../cloud/sns/signing.ts';
import type { Door } from './index.ts';

/** `GET /SimpleNotificationService-<id>.pem`: the certificate behind the signatures of SNS's messages; open, as on AWS. */
export const snsCertificate: Door = (app, { platform }) => {
  app.get<{ Params: { file: string } }>('/SimpleNotificationService-:file', async (request, reply) => {
    const id = /^([0-9a-f]{32})\.pem$/.exec(request.params.file)?.[1];
    const certificate = id && (await signingCertificate(platform, id));
    return certificate ? reply.type('application/x-pem-file').send(certificate) : reply.code(404).send({ code: 'NoSuchCertificate' });
  });
};
