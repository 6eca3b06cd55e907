import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { formatTable } from '../../src/cli/tables.js'
import { withMedia, type MediaTools } from '../../src/cli/with-media.js'

type Usage = Awaited<ReturnType<MediaTools['usage']>>

export default class MediaUsage extends BaseCommand {
  static override summary = 'Show how much room files take, and whose they are.'
  static override description = 'Equal files take room once, and count for everybody who has uploaded them.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --limit 50 --json',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    limit: Flags.integer({ default: 10, min: 1, max: 10_000, description: 'how many users and servers' }),
  }

  async run(): Promise<Usage> {
    const { flags } = await this.parse(MediaUsage)
    const usage = await withMedia(configPaths(flags.config), (tools) => tools.usage(flags.limit))
    if (!this.jsonEnabled()) this.#print(usage)
    return usage
  }

  #print({ stored, byKind, byUser, byServer }: Usage): void {
    this.log(`${stored.files} files, ${formatBytes(stored.bytes)}`)
    for (const [title, uses] of [
      ['kind', byKind],
      ['user', byUser],
      ['server', byServer],
    ] as const) {
      if (uses.length === 0) continue
      const rows = uses.map(({ name, files, bytes }) => [name, String(files), formatBytes(bytes)])
      this.log(`\n${formatTable([title, 'files', 'size'], rows)}`)
    }
  }
}
