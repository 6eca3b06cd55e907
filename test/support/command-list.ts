import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Config, Plugin, type Command } from '@oclif/core'
import { packageRoot } from '../../src/util/package-root.js'

/** All commands of the sources with their arguments and flags, as oclif sees them. */
export async function loadCommands(): Promise<Command.Loadable[]> {
  const root = packageRoot()
  const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    oclif: { commands: string; plugins?: string[] }
  }
  pjson.oclif.commands = './commands'
  const plugin = new Plugin({ root, pjson: pjson as never, isRoot: true, ignoreManifest: true })
  await plugin.load()
  const config = await Config.load({ root, pjson: pjson as never, plugins: [plugin] as never })
  return config.commands.filter(({ pluginName }) => pluginName === plugin.name)
}
