import { Command, Flags } from '@oclif/core'
import { ConfigError, formatNotice, type ConfigNotice } from '../config/config-error.js'

/** `-c`, which may repeat. */
export const configFlag = Flags.string({
  char: 'c',
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'FILE',
  description: 'homeserver.yaml, or a directory of *.yaml files; of several, later ones win (may repeat)',
})

/** An expected failure: its message is all that somebody needs to know. The process ends with exit code 1. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
}

/** Something about how the command was called. The process ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * What all commands have in common: results go to standard output, everything else to standard error; the exit code is
 * 0, 1 (failed) or 2 (called in a wrong way); with `--json`, errors are JSON too.
 */
export abstract class BaseCommand extends Command {
  /** Says something that is no result. */
  protected note(message = ''): void {
    process.stderr.write(`${message}\n`)
  }

  protected noteWarnings(warnings: readonly ConfigNotice[]): void {
    for (const warning of warnings) this.note(`warning: ${formatNotice(warning)}`)
  }

  protected override async catch(error: Error & { oclif?: { exit?: number }; code?: string }): Promise<void> {
    // Thrown by `exit()`.
    if (error.code === 'EEXIT') throw error
    const exitCode = exitCodeOf(error)
    process.exitCode = exitCode
    if (this.jsonEnabled()) {
      this.logJson(this.toErrorJson(error))
    } else {
      this.note(`error: ${isExpected(error) ? error.message : (error.stack ?? error.message)}`)
    }
    return Promise.resolve(this.exit(exitCode))
  }

  protected override toErrorJson(error: unknown): unknown {
    const { name, message } = error as Error
    return { error: { name, message, ...(error instanceof ConfigError ? { issues: error.issues } : {}) } }
  }
}

function exitCodeOf(error: Error & { oclif?: { exit?: number } }): number {
  if (error instanceof UsageError) return 2
  // oclif's errors about flags and arguments.
  return error.oclif?.exit === 2 ? 2 : 1
}

/** What the person at the terminal can do something about; everything else is ours, and comes with its stack. */
function isExpected(error: Error & { oclif?: { exit?: number } }): boolean {
  return (
    error instanceof CommandFailure ||
    error instanceof UsageError ||
    error instanceof ConfigError ||
    error.oclif !== undefined ||
    ['ExitPromptError', 'IncompatibleSchemaError'].includes(error.name)
  )
}
