// `npm run docs`: writes docs/commands.md anew, from the sources of the commands.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Plugin, settings } from '@oclif/core'
import { renderCommandsReference } from './commands-reference.js'

settings.enableAutoTranspile = false
const root = dirname(import.meta.dirname)
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
pjson.oclif.commands = './commands'
const plugin = new Plugin({ root, pjson, isRoot: true, ignoreManifest: true })
await plugin.load()
writeFileSync(join(root, 'docs/commands.md'), renderCommandsReference(plugin.commands, pjson.oclif.topics))
