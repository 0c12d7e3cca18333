/**
 * `git-credential-helper: yes`: git in the build's own commands gets the service role's rights to this installation's CodeCommit, and the
 * primary source's credential of its provider.
 */
import { BUILD_GIT_USER } from '../credentials.ts';
import { gitSettings } from './clone.ts';
import type { SourceContext } from './fetch.ts';
import { providerCredentialHelper } from './git-provider.ts';

/** The build's token, which the git door takes for a password as long as the build runs, is the end of the URL that SDKs get credentials from. */
const OWN_HELPER = `!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' ${BUILD_GIT_USER} "\${AWS_CONTAINER_CREDENTIALS_FULL_URI##*/}"; }; f`;
/** For a CodeCommit elsewhere (`PENSTOCK_ENDPOINT_CODECOMMIT`). */
const AWS_HELPER = '!aws codecommit credential-helper --ignore-host-check';

/** Variables for the build's commands. Secrets among them are hidden in its log. */
export async function credentialHelper({ platform, row, log }: SourceContext): Promise<Record<string, string>> {
  const { serviceEndpoints, endpoints } = platform.config;
  const base = serviceEndpoints.codecommit ?? endpoints.http;
  const own = serviceEndpoints.codecommit === undefined;
  const settings: Record<string, string> = {
    [`credential.${base}.helper`]: own ? OWN_HELPER : AWS_HELPER,
    [`credential.${base}.useHttpPath`]: 'true',
    // Buildspecs name repositories by their URLs on AWS, as sources of projects do.
    [`url.${base}/v1/repos/.insteadOf`]: `https://git-codecommit.${row.region}.amazonaws.com/v1/repos/`,
  };
  const provider = await providerCredentialHelper(platform, row);
  if (provider) log.masker.add(provider.secret);
  return gitSettings({ ...settings, ...provider?.settings });
}
