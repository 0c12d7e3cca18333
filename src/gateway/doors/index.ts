/** Every front door beside the AWS API itself. Each adds its routes to a server; nothing but these is open. */
import type { FastifyInstance } from 'fastify';
import type { Gateway } from '../exchange.ts';
import { codebuildPublic } from './codebuild-public.ts';
import { credentials } from './credentials.ts';
import { gitHttp } from './git-http.ts';
import { gitLfs } from './git-lfs.ts';
import { health } from './health.ts';
import { sandboxSessions } from './sandbox-sessions.ts';
import { snsCertificate } from './sns-certificate.ts';
import { webhooks } from './webhooks.ts';

export type Door = (app: FastifyInstance, gateway: Gateway) => void;

export const doors: Door[] = [health, credentials, codebuildPublic, sandboxSessions, snsCertificate, gitHttp, gitLfs, webhooks];
