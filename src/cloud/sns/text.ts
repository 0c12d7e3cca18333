/** Characters that XML 1.0 has, which SNS takes; others could neither be sent on nor kept. */
export function isText(text: string): boolean {
  return text.isWellFormed() && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text);
}
