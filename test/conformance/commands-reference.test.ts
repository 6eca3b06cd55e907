import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { renderCommandsReference } from '../../bin/commands-reference.js'
import { packageRoot } from '../../src/util/package-root.js'
import { loadCommands } from '../support/command-list.js'

describe('docs/commands.md', () => {
  it('is what the commands say of themselves: npm run docs writes it anew', async function () {
    this.timeout(60_000)
    const read = (name: string): string => readFileSync(join(packageRoot(), name), 'utf8')
    const { oclif } = JSON.parse(read('package.json')) as {
      oclif: { topics: Record<string, { description: string }> }
    }
    expect(read('docs/commands.md')).to.equal(renderCommandsReference(await loadCommands(), oclif.topics))
  })
})
