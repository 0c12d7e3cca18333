/** Change this and push: the new text is on both instances a little later. */
export const GREETING = 'Hello from Penstock';

/** The page that visitors see. */
export function page({ greeting, version, commit, instance }) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escapeHtml(greeting)}</title>
<style>body { font: 1.2rem/1.6 system-ui, sans-serif; margin: 15vh auto; max-width: 36rem } code { background: #eee; padding: .1em .3em }</style>
<h1>${escapeHtml(greeting)}</h1>
<p>Version <code>${escapeHtml(version)}</code>, commit <code>${escapeHtml(commit.slice(0, 10))}</code>, served by <code>${escapeHtml(instance)}</code>.</p>
</html>
`;
}

export function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
