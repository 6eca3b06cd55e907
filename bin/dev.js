#!/usr/bin/env -S node --import tsx
// Runs the sources, without a build: the way that oclif has for it does not work with tsx, and would take the commands
// of the last build from its manifest.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execute, Plugin, settings } from '@oclif/core'

settings.enableAutoTranspile = false
const root = dirname(import.meta.dirname)
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
pjson.oclif.commands = './commands'
pjson.oclif.hooks.command_not_found.target = './src/cli/command-not-found.ts'
const plugin = new Plugin({ root, pjson, isRoot: true, ignoreManifest: true })
await plugin.load()
await execute({ development: true, loadOptions: { root, pjson, plugins: [plugin] } })
