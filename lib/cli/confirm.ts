/** A question before what cannot be taken back. */

import { createInterface } from 'node:readline/promises';
import { CommandError } from './failure.ts';

/**
 * Asks for `name` to be typed. Throws when something else is. In a script nobody can answer, and a hanging script is worse
 * than one that does what it says: without a terminal nothing is asked.
 */
export async function confirmDelete(kind: 'topic' | 'group', name: string, what: string): Promise<void> {
  if (!process.stdin.isTTY) return;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => prompt.once('close', () => resolve('')));
  const question = `This deletes ${kind} ${name} and all of its ${what}. Type its name to go on: `;
  // Ctrl-C and Ctrl-D close the prompt, and the question is then never answered.
  const answer = await Promise.race([prompt.question(question), closed]);
  prompt.close();
  if (answer.trim() !== name) throw new CommandError(`${kind} ${name} was not deleted`);
}
