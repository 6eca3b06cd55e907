import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from '@oclif/core'
import { expect } from 'chai'
import { loadCommands } from '../support/command-list.js'

/**
 * All commands with their arguments and flags: what scripts rely on. A change here is a change for everybody who uses
 * the command, so the fixture changes only on purpose.
 */
const FIXTURE = join(import.meta.dirname, 'fixtures/command-surface.json')

interface Surface {
  readonly args: readonly string[]
  readonly flags: readonly string[]
  readonly json: boolean
}

function surfaceOf(command: Command.Loadable): Surface {
  const flags = Object.values(command.flags)
    .filter(({ name }) => name !== 'json')
    .map(
      (flag) =>
        `${flag.char === undefined ? '' : `-${flag.char} `}--${flag.name}${flag.type === 'option' ? '=' : ''}`,
    )
  return { args: Object.keys(command.args), flags: flags.sort(), json: 'json' in command.flags }
}

describe('the commands', () => {
  let commands: Command.Loadable[]
  before(async function () {
    this.timeout(60_000)
    commands = await loadCommands()
  })

  it('are called as they always were', () => {
    const surface = Object.fromEntries(
      commands.map((command) => [command.id.replaceAll(':', ' '), surfaceOf(command)]),
    )
    const known = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Record<string, Surface>
    expect(surface).to.deep.equal(known)
  })

  it('have a summary, a description and examples', () => {
    for (const { id, summary, description, examples } of commands) {
      expect(summary, id).to.match(/^[A-Z].*\.$/)
      expect(description, id).to.be.a('string').with.length.above(10)
      expect(examples, id).to.be.an('array').with.length.above(0)
    }
  })

  it('describe every flag', () => {
    const silent = commands.flatMap(({ id, flags }) =>
      Object.values(flags)
        .filter(({ name, description, summary }) => name !== 'json' && (description ?? summary ?? '') === '')
        .map(({ name }) => `${id} --${name}`),
    )
    expect(silent).to.deep.equal([])
  })
})
