import { Command, Flags } from '@oclif/core'
import { formatNotice, type ConfigNotice } from '../config/config-error.js'

/** `-c`, which may repeat. */
export const configFlag = Flags.string({
  char: 'c',
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'FILE',
  description: 'homeserver.yaml, or a directory of *.yaml files; of several, later ones win (may repeat)',
})

type CommandError = Error & { oclif?: { exit?: number }; code?: string }

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

  protected override async catch(error: CommandError): Promise<void> {
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
    const { name, message } = error as CommandError
    return { error: { name, message, ...issuesOf(error as CommandError) } }
  }
}

function exitCodeOf(error: CommandError): number {
  // Flags and arguments that oclif refuses are as wrong as those that we do.
  return error.name === 'UsageError' || error.oclif?.exit === 2 ? 2 : 1
}

/**
 * What the person at the terminal can do something about; everything else is ours, and comes with its stack. By name,
 * so that errors count that come from code which is loaded later.
 */
function isExpected(error: CommandError): boolean {
  return error.oclif !== undefined || EXPECTED.has(error.name)
}

const EXPECTED: ReadonlySet<string> = new Set([
  'ArchiveError',
  'CommandFailure',
  'ConfigError',
  'IncompatibleSchemaError',
  'UnfinishedTakeoverError',
  'UnfinishedPortError',
  'UnfinishedRestoreError',
  'UsageError',
])

/** Those of a `ConfigError`. */
function issuesOf(error: object): { issues?: readonly ConfigNotice[] } {
  return 'issues' in error ? { issues: error.issues as readonly ConfigNotice[] } : {}
}
