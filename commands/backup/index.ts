import { Flags } from '@oclif/core'
import type { WrittenBackup } from '../../src/cli/backup.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import type { MediaScope } from '../../src/server/backup-tools.js'

interface BackupResult {
  readonly path: string
  readonly bytes: number
  readonly id: string
  readonly serverName: string
  readonly createdTs: number
  readonly engine: 'sqlite' | 'postgres'
  readonly sealedTo: readonly string[]
  readonly tables: number
  readonly rows: number
  readonly configFiles: number
  readonly media: {
    readonly files: number
    readonly bytes: number
    readonly elsewhere: number
    readonly lost: readonly string[]
    readonly damaged: readonly string[]
  }
}

export default class BackupCommand extends BaseCommand {
  static override summary = 'Write everything that the server consists of into one archive.'
  static override description =
    'Database, files, keys and configuration, of a server that may be running: what was acknowledged before the backup ' +
    'began is in it. The archive is a tar in gzip, which holds the signing key and all secrets: keep it as you keep ' +
    'those, or seal it with --encrypt-to. An archive that has its name is whole; mxhs backup verify reads it again.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --output /backups/today.tar.gz.sealed --encrypt-to mxhs-backup-public-...',
    '<%= config.bin %> <%= command.id %> --output - | ssh other.example.org mxhs restore --directory /srv/mxhs -',
    '<%= config.bin %> <%= command.id %> --media-since sunday.tar.gz --output monday.tar.gz',
    '<%= config.bin %> <%= command.id %> --media none --json | jq .rows',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    output: Flags.string({
      char: 'o',
      helpValue: 'FILE',
      description:
        'the archive, or - for standard output (default: SERVER-TIME.tar.gz in the current directory)',
    }),
    'encrypt-to': Flags.string({
      helpValue: 'PUBLIC-KEY',
      multiple: true,
      multipleNonGreedy: true,
      description: 'only the owner of the key can read the archive; see mxhs backup keygen (may repeat)',
    }),
    media: Flags.option({
      options: ['all', 'local', 'none'] as const,
      description: "which files: all, those of this server's users, or none",
    })({ default: 'all' }),
    'media-since': Flags.string({
      helpValue: 'FILE',
      description: 'leave out files that an earlier archive has: the archive, or its manifest',
    }),
    key: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      dependsOn: ['media-since'],
      description: 'the secret key of the archive that --media-since names (may repeat)',
    }),
    manifest: Flags.string({
      helpValue: 'FILE',
      description: 'write what is in the archive to a file too, for a later --media-since',
    }),
    compression: Flags.integer({ min: 0, max: 9, default: 6, description: 'from 0 (none) to 9 (slow)' }),
  }

  async run(): Promise<BackupResult | undefined> {
    const { flags } = await this.parse(BackupCommand)
    this.#checkOutput(flags.output)
    const [{ writeBackup }, { interruptible }] = await Promise.all([
      import('../../src/cli/backup.js'),
      import('../../src/cli/interruption.js'),
    ])
    const publicKeys = flags['encrypt-to'] ?? []
    const written = await interruptible((signal) =>
      writeBackup({
        paths: configPaths(flags.config),
        output: flags.output,
        publicKeys,
        media: flags.media satisfies MediaScope,
        mediaSince: flags['media-since'],
        keyFiles: flags.key ?? [],
        manifest: flags.manifest,
        level: flags.compression,
        signal,
      }),
    )
    this.#describe(written)
    const { path, bytes } = written
    return path === undefined || bytes === undefined
      ? undefined
      : toResult(written, { path, bytes, sealedTo: publicKeys })
  }

  #checkOutput(output: string | undefined): void {
    if (output !== '-') return
    if (process.stdout.isTTY)
      throw new UsageError('The archive is not for a terminal: name a file, or a command behind |')
    if (this.jsonEnabled()) throw new UsageError('Standard output is for the archive: --json needs a file')
  }

  #describe({ path, bytes, report }: WrittenBackup): void {
    const { header, summary, lost, damaged } = report
    const { rows, tables, mediaFiles, mediaBytes, mediaElsewhere, configFiles } = summary.counts
    // What is no archive must not get between.
    const say = path === undefined ? this.note.bind(this) : this.log.bind(this)
    if (path !== undefined) say(`${path}  ${formatBytes(bytes ?? 0)}`)
    say(`${header.serverName}, ${rows} rows of ${tables} tables, ${configFiles} files of the configuration`)
    const elsewhere = mediaElsewhere === 0 ? '' : `, and ${mediaElsewhere} that earlier archives have`
    if (header.media !== 'none') say(`${mediaFiles} files (${formatBytes(mediaBytes)})${elsewhere}`)
    if (lost.length > 0) this.note(`warning: ${lost.length} files are lost: mxhs media check shows which`)
    for (const key of damaged) this.note(`warning: the content of ${key} is not what it was`)
  }
}

function toResult(
  { report: { header, summary, lost, damaged } }: WrittenBackup,
  about: Pick<BackupResult, 'path' | 'bytes' | 'sealedTo'>,
): BackupResult {
  const { id, serverName, createdTs, engine } = header
  const { tables, rows, configFiles, mediaFiles, mediaBytes, mediaElsewhere } = summary.counts
  return {
    ...about,
    id,
    serverName,
    createdTs,
    engine,
    tables,
    rows,
    configFiles,
    media: { files: mediaFiles, bytes: mediaBytes, elsewhere: mediaElsewhere, lost, damaged },
  }
}
