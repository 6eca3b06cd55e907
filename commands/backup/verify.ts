import { Args, Flags } from '@oclif/core'
import { BaseCommand } from '../../src/cli/base-command.js'
import { formatBytes } from '../../src/cli/format-bytes.js'

interface Verified {
  readonly id: string
  readonly serverName: string
  readonly createdTs: number
  readonly program: string
  readonly engine: 'sqlite' | 'postgres'
  readonly isSealed: boolean
  readonly tables: number
  readonly rows: number
  readonly configFiles: number
  readonly media: { readonly files: number; readonly bytes: number; readonly elsewhere: number }
  readonly needs: readonly string[]
}

export default class BackupVerify extends BaseCommand {
  static override summary = 'Read an archive again, and see that it is whole.'
  static override description =
    'Every member is held against its SHA-256, rows are counted. Exit code 1 says that the archive cannot be used, and ' +
    'the message why.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> example.org-20260131T235959Z.tar.gz',
    '<%= config.bin %> <%= command.id %> --key backup.key today.tar.gz.sealed',
    'cat today.tar.gz | <%= config.bin %> <%= command.id %> -',
  ]

  static override enableJsonFlag = true

  static override args = {
    file: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'the archive, or - for standard input',
    }),
  }

  static override flags = {
    key: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      description: 'the secret key that opens a sealed archive (may repeat)',
    }),
  }

  async run(): Promise<Verified> {
    const { args, flags } = await this.parse(BackupVerify)
    const { verifyInput } = await import('../../src/cli/verify-backup.js')
    const { header, summary, isSealed, needs } = await verifyInput(args.file, flags.key ?? [])
    const { id, serverName, createdTs, program, engine } = header
    const { tables, rows, configFiles, mediaFiles, mediaBytes, mediaElsewhere } = summary.counts
    this.log(`The archive is whole: ${serverName} of ${new Date(createdTs).toISOString()}, by ${program}`)
    this.log(`${rows} rows of ${tables} tables (${engine}), ${configFiles} files of the configuration`)
    this.log(`${mediaFiles} files (${formatBytes(mediaBytes)})`)
    if (needs.length > 0)
      this.log(`${mediaElsewhere} more files are in the archives with the IDs ${needs.join(', ')}`)
    const media = { files: mediaFiles, bytes: mediaBytes, elsewhere: mediaElsewhere }
    return { id, serverName, createdTs, program, engine, isSealed, tables, rows, configFiles, media, needs }
  }
}
