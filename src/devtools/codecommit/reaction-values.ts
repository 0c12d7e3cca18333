/**
 * The reactions that a comment can get. The user guide's "Comment on a commit" has the table as a picture only; its examples name the first
 * five, and the others are our choice of what people use.
 */

interface Reaction {
  /** In reactionCounts and callerReactions: `THUMBSUP`. */
  name: string;
  /** Without colons. */
  shortCode: string;
  emoji: string;
  /** `U+1F44D` */
  unicode: string;
}

const emojiByShortCode = {
  thumbsup: '👍',
  thumbsdown: '👎',
  smile: '😄',
  confused: '😕',
  clap: '👏',
  heart: '❤️',
  angry: '😠',
  scream: '😱',
  sleeping: '😴',
  confetti_ball: '🎊',
  tada: '🎉',
  hand: '✋',
  raised_hands: '🙌',
  pray: '🙏',
  rocket: '🚀',
  eyes: '👀',
  hundred: '💯',
  white_check_mark: '✅',
};

const reactions: Reaction[] = Object.entries(emojiByShortCode).map(([shortCode, emoji]) => ({
  name: shortCode.toUpperCase(),
  shortCode,
  emoji,
  unicode: `U+${emoji.codePointAt(0)!.toString(16).toUpperCase()}`,
}));

const byName = new Map(reactions.map((reaction) => [reaction.name, reaction]));

/** Other names under which tools send some of them. */
const aliases: Record<string, string> = { '+1': 'THUMBSUP', '-1': 'THUMBSDOWN', LAUGH: 'SMILE', HOORAY: 'TADA', '100': 'HUNDRED' };

/** As emoji (with or without variation selector), `:shortcode:`, its name, or `U+…`; undefined for anything else. */
export function readReaction(value: string): Reaction | undefined {
  const plain = value.trim().replace(/\ufe0f$/, '');
  const code = /^(?::([\w+-]+):|([a-z_]+))$/i.exec(plain)?.slice(1).find(Boolean)?.toUpperCase();
  if (code !== undefined) return byName.get(Object.hasOwn(aliases, code) ? aliases[code]! : code);
  return reactions.find(({ emoji, unicode }) => emoji.replace(/\ufe0f$/, '') === plain || unicode === plain.toUpperCase());
}

/** By the name that rows have. */
export function reactionNamed(name: string): Reaction | undefined {
  return byName.get(name);
}
