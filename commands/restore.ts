import { Args, Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { UsageError } from '../src/cli/failures.js'
import type { RestoredServer } from '../src/cli/restore.js'

interface Restored {
  readonly serverName: string
  readonly createdTs: number
  readonly start: readonly string[]
  readonly database: string
  readonly rows: number
  readonly media: { readonly files: number; readonly lost: readonly string[]; readonly refetched: number }
  readonly removed: {
    readonly oneTimeKeys: number
    readonly fallbackKeys: number
    readonly tokens: number
    readonly connections: number
  }
}

export default class RestoreCommand extends BaseCommand {
  static override summary = 'Put a server back from an archive that mxhs backup has written.'
  static override description =
    'Either into a new or empty directory, with the configuration and keys of the archive (--directory), or data alone to ' +
    'where a configuration says (--config). Never overwrites anything: a database must be empty, files must not be there. ' +
    'An archive that is not whole is refused, and nothing is left of it. What may have been used since the backup, such as ' +
    'one-time keys, is removed. Never run the old server and the restored one at the same time.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> --directory /srv/mxhs example.org-20260131T235959Z.tar.gz',
    '<%= config.bin %> <%= command.id %> --directory /srv/mxhs --database postgres://mxhs@localhost/mxhs today.tar.gz',
    '<%= config.bin %> <%= command.id %> --directory /srv/mxhs --key backup.key today.tar.gz.sealed',
    '<%= config.bin %> <%= command.id %> --directory /srv/mxhs --earlier sunday.tar.gz monday.tar.gz',
    'ssh old.example.org mxhs backup --output - | <%= config.bin %> <%= command.id %> --directory /srv/mxhs -',
  ]

  static override enableJsonFlag = true

  static override args = {
    file: Args.string({ ignoreStdin: true, description: 'the archive, or - for standard input' }),
  }

  static override flags = {
    config: configFlag,
    input: Flags.string({ char: 'i', helpValue: 'FILE', description: 'another way to name the archive' }),
    directory: Flags.string({
      char: 'd',
      helpValue: 'DIR',
      exclusive: ['config'],
      description: 'a new or empty directory for everything',
    }),
    database: Flags.string({
      helpValue: 'URL|FILE',
      dependsOn: ['directory'],
      description: 'an empty PostgreSQL database or a new SQLite file, in the place of that of the archive',
    }),
    earlier: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      description: 'an archive with files that this one leaves out (may repeat)',
    }),
    key: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      description: 'the secret key that opens sealed archives (may repeat)',
    }),
  }

  async run(): Promise<Restored> {
    const { args, flags } = await this.parse(RestoreCommand)
    const input = args.file ?? flags.input
    if (input === undefined || (args.file !== undefined && flags.input !== undefined)) {
      throw new UsageError('Name one archive, or - for standard input')
    }
    if (flags.directory === undefined && flags.config === undefined) {
      throw new UsageError('Say where to: --directory DIR, or --config FILE for the data alone')
    }
    const [{ restoreServer }, { interruptible }] = await Promise.all([
      import('../src/cli/restore.js'),
      import('../src/cli/interruption.js'),
    ])
    const restored = await interruptible((signal) =>
      restoreServer({
        input,
        earlier: flags.earlier ?? [],
        keyFiles: flags.key ?? [],
        target:
          flags.directory === undefined ? { paths: flags.config ?? [] } : { directory: flags.directory },
        database: flags.database,
        signal,
      }),
    )
    this.#describe(restored)
    return toResult(restored)
  }

  #describe({ report, paths, database }: RestoredServer): void {
    const { header, summary, used, files, lost, refetched } = report
    this.log(`${header.serverName}, as it was at ${new Date(header.createdTs).toISOString()}`)
    this.log(`${summary.counts.rows} rows are in ${database}; ${files} files are in the media store.`)
    this.log(
      `Removed, since it may have been used: ${used.oneTimeKeys} one-time keys, ${used.tokens} tokens for one use, ` +
        `${used.connections} connections of sliding sync. ${used.fallbackKeys} fallback keys count as used. ` +
        'Streams go on far behind the last position.',
    )
    if (refetched > 0)
      this.log(`${refetched} files of other servers are fetched again when somebody asks for them.`)
    if (lost.length > 0)
      this.note(`warning: the content of ${lost.length} files is lost: mxhs media check shows which`)
    this.log(`Start it with: mxhs start ${paths.map((path) => `-c ${path}`).join(' ')}`)
  }
}

function toResult({ report, paths, database }: RestoredServer): Restored {
  const { header, summary, used, files, lost, refetched } = report
  return {
    serverName: header.serverName,
    createdTs: header.createdTs,
    start: paths,
    database,
    rows: summary.counts.rows,
    media: { files, lost, refetched },
    removed: used,
  }
}
