/** Mail goes out by the server that `PENSTOCK_SMTP_URL` names. */
import type { Transporter } from 'nodemailer';
import type { Platform } from '../../platform/platform.ts';

const kept = new Map<string, Promise<Transporter>>();

export class NoMailError extends Error {
  override readonly name = 'NoMailError';
}

export async function sendMail(platform: Platform, mail: { to: string; name: string; subject: string; text: string }): Promise<void> {
  const { smtp } = platform.config;
  if (!smtp) throw new NoMailError('there is no mail server: set PENSTOCK_SMTP_URL and PENSTOCK_SMTP_FROM');
  let transport = kept.get(smtp.url);
  if (!transport) {
    // Loaded by those who send mail.
    transport = import('nodemailer').then(({ createTransport }) => createTransport(smtp.url));
    kept.set(smtp.url, transport);
  }
  const { to, name, subject, text } = mail;
  await (await transport).sendMail({ from: { name, address: smtp.from }, to: { name: '', address: to }, subject, text });
}
