/** The local certificate authority: signs the TLS certificate and the deployment specifications of CodeDeploy. */

export interface Identity {
  /** PEM */
  certificate: string;
  /** PKCS8 PEM */
  privateKey: string;
}

export interface Issuer {
  /** A certificate for TLS servers under these names; IP addresses are recognised. */
  issueServer(names: string[], days: number): Promise<Identity>;
  /** An RSA identity that signs messages (PKCS7), which the unmodified CodeDeploy agent's OpenSSL understands everywhere. */
  issueSigner(commonName: string, days: number): Promise<Identity>;
}

export interface CertificateAuthority extends Issuer {
  /** PEM, for clients to trust. */
  certificate: string;
}

/** A new authority as JSON, to be kept secret. */
export async function createAuthority(): Promise<Buffer> {
  const { selfSign } = await import('./certificates.ts');
  return Buffer.from(JSON.stringify(await selfSign()));
}

export async function openAuthority(secret: Buffer): Promise<CertificateAuthority> {
  const identity = JSON.parse(secret.toString()) as Identity;
  let opened: Promise<Issuer> | undefined;
  const issuer = (): Promise<Issuer> => {
    opened ??= import('./certificates.ts').then(({ openIssuer }) => openIssuer(identity));
    return opened;
  };
  return {
    certificate: identity.certificate,
    issueServer: async (names, days) => (await issuer()).issueServer(names, days),
    issueSigner: async (commonName, days) => (await issuer()).issueSigner(commonName, days),
  };
}
