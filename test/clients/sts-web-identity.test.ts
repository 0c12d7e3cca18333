/** Roles for whom an OpenID Connect provider vouches. The provider is a real HTTPS server with a certificate of an authority of its own. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import {
  AddClientIDToOpenIDConnectProviderCommand,
  CreateOpenIDConnectProviderCommand,
  CreateRoleCommand,
  DeleteOpenIDConnectProviderCommand,
  GetOpenIDConnectProviderCommand,
  IAMClient,
  ListOpenIDConnectProvidersCommand,
  ListOpenIDConnectProviderTagsCommand,
  PutRolePolicyCommand,
  RemoveClientIDFromOpenIDConnectProviderCommand,
  TagOpenIDConnectProviderCommand,
  UntagOpenIDConnectProviderCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateOpenIDConnectProviderThumbprintCommand,
} from '@aws-sdk/client-iam';
import { AssumeRoleWithWebIdentityCommand, type Credentials, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { createAuthority, openAuthority } from '../../src/platform/authority.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const AUDIENCE = 'sts.amazonaws.com';
const SUBJECT = 'repo:team/app:ref:refs/heads/main';

let server: TestServer;
let iam: IAMClient;
let sts: STSClient;
let idp: Server;
let issuer: string;
let host: string;
let key: CryptoKey;
let jwks: { keys: object[] };
let thumbprint: string;
let authorityCertificate: string;

before(async () => {
  server = await startServer();
  iam = new IAMClient(server.client);
  // No credentials: the call is not signed.
  sts = new STSClient({ ...server.client, credentials: undefined });
  const authority = await openAuthority(await createAuthority());
  authorityCertificate = authority.certificate;
  const { certificate, privateKey } = await authority.issueServer(['localhost'], 1);
  thumbprint = new X509Certificate(authority.certificate).fingerprint.replaceAll(':', '').toLowerCase();
  const pair = await generateKeyPair('RS256', { extractable: true });
  key = pair.privateKey;
  jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }] };
  idp = createServer({ cert: `${certificate}\n${authority.certificate}`, key: privateKey }, (request, response) => {
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
      '/keys': jwks,
    };
    const found = documents[request.url!];
    response.writeHead(found ? 200 : 404).end(JSON.stringify(found ?? {}));
  }).listen(0, '127.0.0.1');
  await once(idp, 'listening');
  host = `localhost:${(idp.address() as AddressInfo).port}`;
  issuer = `https://${host}`;
  await iam.send(new CreateOpenIDConnectProviderCommand({ Url: issuer, ClientIDList: [AUDIENCE], ThumbprintList: [thumbprint] }));
  await iam.send(new CreateRoleCommand({ RoleName: 'ci', AssumeRolePolicyDocument: trust({ [`${host}:sub`]: 'repo:team/app:*' }) }));
});
after(async () => {
  iam?.destroy();
  sts?.destroy();
  idp?.close();
  await server?.stop();
});

const providerArn = () => `arn:aws:iam::${server.account}:oidc-provider/${host}`;
const roleArn = (name = 'ci') => `arn:aws:iam::${server.account}:role/${name}`;
const trust = (StringLike: object, actions: string[] = ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession']) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Federated: providerArn() },
        Action: actions,
        Condition: { StringLike, StringEquals: { [`${host}:aud`]: AUDIENCE } },
      },
    ],
  });
const token = (claims: JWTPayload = {}, by: CryptoKey = key, kid = 'one') =>
  new SignJWT({ sub: SUBJECT, iss: issuer, aud: AUDIENCE, exp: Math.floor(Date.now() / 1000) + 300, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid })
    .sign(by);
const assume = (WebIdentityToken: string, more: object = {}) =>
  sts.send(new AssumeRoleWithWebIdentityCommand({ RoleArn: roleArn(), RoleSessionName: 'job-7', WebIdentityToken, ...more }));
const credentialsOf = ({ AccessKeyId, SecretAccessKey, SessionToken }: Credentials) => ({
  ...server.client,
  credentials: { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! },
});

describe('AssumeRoleWithWebIdentity', () => {
  it('gives a session of the role to whom the provider vouches for, unsigned', async () => {
    const answer = await assume(await token());
    assert.equal(answer.SubjectFromWebIdentityToken, SUBJECT);
    assert.equal(answer.Audience, AUDIENCE);
    assert.equal(answer.Provider, providerArn());
    const session = new STSClient(credentialsOf(answer.Credentials!));
    const who = await session.send(new GetCallerIdentityCommand({}));
    session.destroy();
    assert.equal(who.Arn, `arn:aws:sts::${server.account}:assumed-role/ci/job-7`);
  });

  it('keeps what the token said as conditions of the session, and its tags', async () => {
    const statement = (Condition: object) => ({ Effect: 'Allow', Action: 'iam:GetOpenIDConnectProvider', Resource: '*', Condition });
    const allow = (Condition: object) =>
      iam.send(
        new PutRolePolicyCommand({
          RoleName: 'ci',
          PolicyName: 'read',
          PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement(Condition)] }),
        }),
      );
    const tags = { principal_tags: { team: ['blue'] }, transitive_tag_keys: ['team'] };
    const { Credentials: given } = await assume(await token({ 'https://aws.amazon.com/tags': tags }));
    const session = new IAMClient(credentialsOf(given!));
    const read = () => session.send(new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: providerArn() }));
    await allow({
      StringEquals: { [`${host}:sub`]: SUBJECT, 'aws:PrincipalTag/team': 'blue' },
      ArnEquals: { 'aws:FederatedProvider': providerArn() },
    });
    assert.deepEqual((await read()).ClientIDList, [AUDIENCE]);
    await allow({ StringEquals: { [`${host}:sub`]: 'somebody else' } });
    await refused(read(), 'AccessDenied');
    session.destroy();
  });

  it('refuses tokens that prove nothing', async () => {
    const other = (await generateKeyPair('RS256')).privateKey;
    const invalid = 'InvalidIdentityTokenException';
    await refused(assume('no token'), invalid, /^The ID Token provided is not a valid JWT/, 400);
    await refused(assume(await token({}, other)), invalid);
    await refused(assume(await token({}, key, 'unknown')), invalid);
    await refused(assume(await token({ aud: 'other' })), invalid, 'Incorrect token audience');
    const elsewhere = 'https://elsewhere.example';
    await refused(assume(await token({ iss: elsewhere })), invalid, `No OpenIDConnect provider found in your account for ${elsewhere}`);
    await refused(assume(await token({ exp: 1_000_000 })), 'ExpiredTokenException', 'Token is expired');
    await refused(assume(new UnsecuredJWT({ sub: SUBJECT, iss: issuer, aud: AUDIENCE }).setExpirationTime('1m').encode()), invalid);
    const [head, , signature] = (await token()).split('.');
    const forged = Buffer.from(JSON.stringify({ sub: SUBJECT, iss: issuer, aud: AUDIENCE, exp: 9_999_999_999 })).toString('base64url');
    await refused(assume([head, forged, signature].join('.')), invalid);
  });

  it('asks the trust policy of the role', async () => {
    const denied = ['AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403] as const;
    await refused(assume(await token({ sub: 'repo:other/app:ref:refs/heads/main' })), ...denied);
    await refused(assume(await token(), { RoleArn: roleArn('missing') }), ...denied);
    await iam.send(new CreateRoleCommand({ RoleName: 'untagged', AssumeRolePolicyDocument: trust({}, ['sts:AssumeRoleWithWebIdentity']) }));
    const tagged = { 'https://aws.amazon.com/tags': { principal_tags: { team: ['blue'] } } };
    await refused(assume(await token(tagged), { RoleArn: roleArn('untagged') }), ...denied);
    await assume(await token(), { RoleArn: roleArn('untagged') });
    const usersOnly = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRoleWithWebIdentity' };
    await iam.send(
      new UpdateAssumeRolePolicyCommand({
        RoleName: 'untagged',
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [usersOnly] }),
      }),
    );
    await refused(assume(await token(), { RoleArn: roleArn('untagged') }), ...denied);
    await refused(assume(await token(), { DurationSeconds: 7200 }), 'ValidationError', /exceeds the MaxSessionDuration/);
  });

  it('fetches new keys of the provider, and trusts no other certificate', async () => {
    const pair = await generateKeyPair('RS256', { extractable: true });
    jwks.keys.push({ ...(await exportJWK(pair.publicKey)), kid: 'two', alg: 'RS256', use: 'sig' });
    const arn = providerArn();
    const change = (one: string) =>
      iam.send(new UpdateOpenIDConnectProviderThumbprintCommand({ OpenIDConnectProviderArn: arn, ThumbprintList: [one] }));
    await change('0'.repeat(40));
    const mismatch = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint";
    await refused(assume(await token({}, pair.privateKey, 'two')), 'InvalidIdentityTokenException', mismatch);
    await change(thumbprint);
    await refused(assume(await token({}, pair.privateKey, 'three')), 'InvalidIdentityTokenException');
  });

  it('is not deceived by a true authority shown behind a certificate that it never signed', async () => {
    const rogue = await (await openAuthority(await createAuthority())).issueServer(['localhost'], 1);
    const server = createServer({ cert: `${rogue.certificate}\n${authorityCertificate}`, key: rogue.privateKey }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `https://localhost:${(server.address() as AddressInfo).port}`;
    try {
      await iam.send(new CreateOpenIDConnectProviderCommand({ Url: url, ClientIDList: [AUDIENCE], ThumbprintList: [thumbprint] }));
      await refused(assume(await token({ iss: url })), 'InvalidIdentityTokenException', /HTTPS certificate doesn't match/);
    } finally {
      server.close();
    }
  });
});

describe('the record of an assumption', () => {
  it('is in the account of the role, whether it succeeded or not, and without the token', async () => {
    const cloudtrail = new CloudTrail(server.client);
    await assume(await token(), { RoleSessionName: 'recorded' });
    await refused(assume(await token({ aud: 'other' }), { RoleSessionName: 'refused' }), 'InvalidIdentityTokenException');
    const found = await cloudtrail.lookupEvents({
      LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'AssumeRoleWithWebIdentity' }],
    });
    cloudtrail.destroy();
    const records = found.Events!.map(({ CloudTrailEvent }) => JSON.parse(CloudTrailEvent!));
    const bySession = (name: string) => records.find(({ requestParameters }) => requestParameters.roleSessionName === name);
    assert.deepEqual(bySession('recorded').userIdentity, {
      type: 'WebIdentityUser',
      principalId: `${providerArn()}:${AUDIENCE}:${SUBJECT}`,
      userName: SUBJECT,
      identityProvider: providerArn(),
    });
    assert.equal(bySession('refused').errorCode, 'InvalidIdentityToken');
    assert.ok(records.every((record) => record.requestParameters.webIdentityToken?.startsWith('ey') !== true));
  });
});

describe('identity providers', () => {
  it('are changed, tagged, listed and deleted', async () => {
    const { OpenIDConnectProviderArn: arn } = await iam.send(
      new CreateOpenIDConnectProviderCommand({
        Url: 'https://token.example.com/path',
        ThumbprintList: [thumbprint.toUpperCase()],
        Tags: [{ Key: 'a', Value: '1' }],
      }),
    );
    assert.equal(arn, `arn:aws:iam::${server.account}:oidc-provider/token.example.com/path`);
    const named = { OpenIDConnectProviderArn: arn };
    await iam.send(new AddClientIDToOpenIDConnectProviderCommand({ ...named, ClientID: 'one' }));
    await iam.send(new AddClientIDToOpenIDConnectProviderCommand({ ...named, ClientID: 'two' }));
    await iam.send(new RemoveClientIDFromOpenIDConnectProviderCommand({ ...named, ClientID: 'one' }));
    await iam.send(new TagOpenIDConnectProviderCommand({ ...named, Tags: [{ Key: 'b', Value: '2' }] }));
    await iam.send(new UntagOpenIDConnectProviderCommand({ ...named, TagKeys: ['A'] }));
    const found = await iam.send(new GetOpenIDConnectProviderCommand(named));
    assert.equal(found.Url, 'token.example.com/path');
    assert.deepEqual(found.ClientIDList, ['two']);
    assert.deepEqual(found.ThumbprintList, [thumbprint]);
    assert.deepEqual((await iam.send(new ListOpenIDConnectProviderTagsCommand(named))).Tags, [{ Key: 'b', Value: '2' }]);
    const listed = (await iam.send(new ListOpenIDConnectProvidersCommand({}))).OpenIDConnectProviderList!.map(({ Arn }) => Arn);
    assert.ok(listed.includes(arn) && listed.includes(providerArn()));
    const twice = new CreateOpenIDConnectProviderCommand({ Url: 'https://token.example.com/path', ThumbprintList: [thumbprint] });
    await refused(iam.send(twice), 'EntityAlreadyExistsException', 'Provider with url https://token.example.com/path already exists.');
    await iam.send(new DeleteOpenIDConnectProviderCommand(named));
    await refused(
      iam.send(new GetOpenIDConnectProviderCommand(named)),
      'NoSuchEntityException',
      `OpenIDConnect Provider not found for arn ${arn}`,
    );
  });

  it('are asked for their thumbprint where none is given', async () => {
    await iam.send(new DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: providerArn() }));
    await iam.send(new CreateOpenIDConnectProviderCommand({ Url: issuer, ClientIDList: [AUDIENCE] }));
    const found = await iam.send(new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: providerArn() }));
    assert.deepEqual(found.ThumbprintList, [thumbprint]);
    const closed = new CreateOpenIDConnectProviderCommand({ Url: 'https://localhost:1' });
    await refused(iam.send(closed), 'OpenIdIdpCommunicationErrorException');
  });

  it('need an https URL and real thumbprints', async () => {
    const create = (Url: string, ThumbprintList = [thumbprint]) =>
      iam.send(new CreateOpenIDConnectProviderCommand({ Url, ThumbprintList }));
    await refused(create('http://plain.example'), 'ValidationError', 'Invalid Open ID Connect Provider URL');
    await refused(create('https://a.example/?q=1'), 'ValidationError');
    await refused(create('https://a.example', ['z'.repeat(40)]), 'InvalidInputException');
  });
});
