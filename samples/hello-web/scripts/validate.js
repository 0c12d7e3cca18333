// Asks the server for its release until it is the installed one, for some seconds.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const [url, versionFile] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(versionFile, 'utf8'));
const deadline = Date.now() + 20_000;

for (;;) {
  const answer = await ask();
  if (answer.commit === expected.commit && answer.version === expected.version) {
    console.log(`${url} answers with version ${answer.version}, commit ${answer.commit}.`);
    process.exit(0);
  }
  if (Date.now() > deadline) {
    console.error(`${url} does not answer with version ${expected.version}, commit ${expected.commit}: ${JSON.stringify(answer)}`);
    process.exit(1);
  }
  await delay(200);
}

async function ask() {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return await response.json();
  } catch (error) {
    return { error: error.cause?.message ?? error.message };
  }
}
