import { Args, Flags } from '@oclif/core'
import { toUserId, withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { writeAsArchive, writeToDirectory, type Written } from '../../src/cli/exported-files.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { Progress } from '../../src/cli/progress.js'
import { UnfinishedFile } from '../../src/cli/unfinished-file.js'
import type { UserId } from '../../src/protocol/ids.js'
import { systemClock } from '../../src/util/clock.js'

interface Exported extends Written {
  readonly userId: string
  /** Where it is. */
  readonly output: string
}

export default class UsersExport extends BaseCommand {
  static override summary = 'Write down everything that the server keeps of a person, for that person.'
  static override description =
    'The account with devices, addresses and account data, each room with what the person may see or has sent there, ' +
    'memberships, receipts, reports, rules of notifications, the backup of their keys as their devices have encrypted ' +
    'it, and the files that they have uploaded: as a directory, a .tar file, or with --output - as an archive on ' +
    'standard output. Passwords, tokens and keys of devices are left out. Reads the database and the ' +
    'files: the server need not run, and may. An export that was interrupted is to be removed and made again.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> alice --output alice/ -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> alice --output alice.tar -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> alice --output - -c homeserver.yaml | zstd > alice.tar.zst',
  ]

  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = {
    config: configFlag,
    output: Flags.string({
      char: 'o',
      required: true,
      helpValue: 'PATH',
      description: 'a directory that is empty or not there, a file whose name ends with .tar, or -',
    }),
  }

  async run(): Promise<Exported> {
    const { flags, args } = await this.parse(UsersExport)
    const { output } = flags
    if (output === '-' && this.jsonEnabled()) {
      throw new UsageError('Both the archive and --json want standard output')
    }
    const { userId, written } = await withAdministrationTools(
      configPaths(flags.config),
      async (tools, config) => {
        const found = toUserId(args.user, config)
        return { userId: found, written: await this.#write(tools, found, output) }
      },
    )
    const summary = `${written.files} files, ${formatBytes(written.bytes)}`
    if (output === '-') this.note(summary)
    else this.log(`${output}: ${summary}`)
    return { userId, output, ...written }
  }

  async #write(tools: AdministrationTools, userId: UserId, output: string): Promise<Written> {
    // Before anything is made: whoever has mistyped a name has no empty export.
    await tools.accountOverviews.show(userId)
    const progress = new Progress()
    const files = tools.accountExport.files(userId)
    if (output !== '-' && !output.endsWith('.tar')) return writeToDirectory(files, output, progress)
    const options = { progress, mtime: new Date(systemClock.now()) }
    if (output === '-') return writeAsArchive(files, process.stdout, options)
    const file = await UnfinishedFile.create(output)
    try {
      const written = await writeAsArchive(files, file.stream, options)
      await file.finish()
      return written
    } catch (error) {
      await file.discard()
      throw error
    }
  }
}
