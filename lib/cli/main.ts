/** The command line put together: one file a command, and one place where a failure becomes text and an exit code. */

import { Command } from 'commander';
import { addConsumeCommand } from './consume.ts';
import { addDevCommand } from './dev.ts';
import { describeFailure, exitCodes } from './failure.ts';
import { addGroupsCommand } from './groups.ts';
import { addOffsetsCommand } from './offsets.ts';
import { note } from './output.ts';
import { addProduceCommand } from './produce.ts';
import { addTopicsCommand } from './topics.ts';
import { addVerifyCommand } from './verify.ts';
import { packageVersion } from './version.ts';

/** Runs the command that `args` (without node and the script) names, and resolves with its exit code. Never rejects. */
export async function main(args: readonly string[]): Promise<number> {
  // Nobody reads what is said to people any more: no reason to stop, least of all for a server.
  process.stderr.on('error', () => {});
  try {
    await buildProgram().parseAsync(args, { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    const { text, exitCode } = describeFailure(error, Boolean(process.env.MILLRACE_DEBUG));
    if (text !== '') note(text);
    return exitCode;
  }
}

function buildProgram(): Command {
  const program = new Command('millrace')
    .description('A durable, ordered, replayable log: run one, fill topics, read them.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .configureOutput({
      // Every failure begins alike, also the ones commander finds.
      outputError: (text, write) => write(text.replace(/^error: /, 'millrace: ')),
    })
    .showHelpAfterError('(add --help for the options and examples)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  millrace dev                                       run a log here, data in ./.millrace
  millrace topics create orders --partitions 6
  echo '{"id":1}' | millrace produce orders
  millrace consume orders --from -1h --follow

Data goes to standard output, everything else to standard error.
Exit codes: 0 done, 1 failed, 2 wrong use. MILLRACE_DEBUG=1 adds stacks to errors.`,
    );
  addDevCommand(program);
  addTopicsCommand(program);
  addProduceCommand(program);
  addConsumeCommand(program);
  addOffsetsCommand(program);
  addGroupsCommand(program);
  addVerifyCommand(program);
  return program;
}
