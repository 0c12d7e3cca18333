/** What an appspec may say, and the errors for what it may not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeAcl, formatAce, parseAce } from './acl.ts';
import { parseAppSpec } from './appspec.ts';
import { appliesTo, type Permission } from './appspec-permissions.ts';

const parse = (rest: string) => parseAppSpec(`version: 0.0\nos: linux\n${rest}`);

test('defaults and all keys of a hook', () => {
  const { hooks } = parse(
    'hooks:\n  AfterInstall:\n    - location: " a.sh "\n    - location: b.sh\n      timeout: "30"\n      runas: web\n      sudo: yes\n',
  );
  assert.deepEqual(hooks.get('AfterInstall'), [
    { location: 'a.sh', timeoutSeconds: 3600, runas: undefined, sudo: false },
    { location: 'b.sh', timeoutSeconds: 30, runas: 'web', sudo: true },
  ]);
  assert.deepEqual(parse('').files, []);
});

test('what is wrong is said in the words of the AWS agent', () => {
  const cases: [string, RegExp][] = [
    ['hooks:\n  A:\n    - timeout: 3\n', /specifies a script with no location value/],
    ['hooks:\n  A:\n    - location: a\n      timeout: 0\n', /invalid timeout value/],
    ['hooks:\n  A: a.sh\n', /hooks.A .* is not a list/],
    ['files:\n  - destination: /a\n', /specifies a destination file, but no source file/],
    ['files:\n  - source: a\n', /specifies only a source file \(a\)/],
    ['permissions:\n  - mode: 644\n', /has no object value/],
    ['permissions:\n  - object: /a\n    mode: 12345\n', /length of a permissions mode \(12345\)/],
    ['permissions:\n  - object: /a\n    mode: 648\n', /mode \(648\) .* invalid character \(8\)/],
    ['permissions:\n  - object: /a\n    type: [socket]\n', /not supported for permissions \(socket\)/],
    ['permissions:\n  - object: /a\n    acls: ["u::rw"]\n', /Use mode to set the base acl entry \(u::rw\)/],
    ['permissions:\n  - object: /a\n    acls: ["u:al:rwz"]\n', /invalid character \(z\)/],
    ['permissions:\n  - object: /a\n    context: {user: u}\n', /invalid context type/],
    ['permissions:\n  - object: /a\n    context: {type: t, range: s3-s1}\n', /SELinux range specified \(s3-s1\)/],
    ['permissions:\n  - object: /a\n    context: {type: t, range: "s0:c2,c1.c3"}\n', /SELinux range/],
    ['files: &a [*a]\n', /is not valid YAML|is not a list/],
  ];
  for (const [text, expected] of cases) assert.throws(() => parse(text), expected, text);
  assert.throws(() => parseAppSpec('version: "0.0"\nos: linux\n'), /invalid version value \(0\.0\)/);
  assert.throws(() => parseAppSpec('os: linux\n'), /invalid version value \(\)/);
  assert.throws(() => parseAppSpec('just text'), /is not valid YAML: it must be a mapping/);
  assert.throws(
    () =>
      parseAppSpec(
        `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [${Array(9).fill('*a')}]\nc: &c [${Array(9).fill('*b')}]\nd: [${Array(9).fill('*c')}]\n`,
      ),
    /not valid YAML/,
  );
});

test('modes are taken as written', () => {
  const modes = ['644', '0644', '"755"', '4755', '7'].map(
    (mode) => parse(`permissions:\n  - object: /a\n    mode: ${mode}\n`).permissions[0]!.mode,
  );
  assert.deepEqual(modes, ['644', '0644', '755', '4755', '007']);
});

test('patterns', () => {
  const applies = (pattern: string, name: string, except: string[] = []) =>
    appliesTo({ pattern, except } as unknown as Permission, '/srv', `/srv/${name}`);
  assert.ok(applies('**', 'a/b/c'));
  assert.ok(applies('*', 'a'));
  assert.ok(!applies('*', 'a/b'));
  assert.ok(applies('*.txt', 'a.txt') && !applies('*.txt', 'a.txt.bak'));
  assert.ok(applies('a*b*c', 'aXbYc') && applies('a*b*c', 'abbc') && !applies('a*b*c', 'acb'));
  assert.ok(!applies('a*a', 'a') && applies('a*a', 'aa'));
  assert.ok(!applies('**', 'a.txt', ['*.txt']) && applies('**', 'x/a.txt', ['*.txt']));
  assert.ok(!appliesTo({ pattern: '**', except: [] } as unknown as Permission, '/srv', '/srv2/a'));
});

test('access control lists are completed as setfacl demands', () => {
  const complete = (entries: string[], mode: number) => completeAcl(entries.map(parseAce), mode).map(formatAce);
  assert.deepEqual(complete(['alice:rw'], 0o640), ['user:alice:rw-', 'user::rw-', 'group::r--', 'other::---', 'mask::r--']);
  assert.deepEqual(complete(['m:7', 'g:staff:5'], 0o700), ['mask::rwx', 'group:staff:r-x', 'user::rwx', 'group::---', 'other::---']);
  assert.deepEqual(complete(['d:u:bob:rx'], 0o750), [
    'default:user:bob:r-x',
    'user::rwx',
    'group::r-x',
    'other::---',
    'default:user::rwx',
    'default:group::r-x',
    'default:other::---',
    'default:mask::r-x',
  ]);
  for (const wrong of ['rw', 'x:y:z:rw', 'q:name:rw', 'mask:name:rw']) assert.throws(() => parseAce(wrong), /Invalid acl entry/, wrong);
});
