import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { keepBytecode, loadCompiled } from '../../../bin/compiled.js'
import { builtProgram } from '../../support/built-program.js'
import { useScratch } from '../../support/scratch.js'

describe('a compiled file', () => {
  const scratch = useScratch()
  const SOURCE =
    'exports.double = (value) => 2 * value; exports.where = require("node:path").basename(__filename)\n'

  function load(file: string): {
    double: (value: number) => number
    where: string
    rejected: boolean | undefined
  } {
    const { exports, script } = loadCompiled(file)
    return {
      ...(exports as { double: (value: number) => number; where: string }),
      rejected: script.cachedDataRejected,
    }
  }

  it('runs without bytecode, and with what has been kept of it', () => {
    const file = scratch.write('file.cjs', SOURCE)
    const first = load(file)
    expect([first.double(2), first.where, first.rejected]).to.deep.equal([4, 'file.cjs', undefined])
    keepBytecode(file, loadCompiled(file).script)
    const second = load(file)
    expect([second.double(2), second.where, second.rejected]).to.deep.equal([4, 'file.cjs', false])
  })

  it('runs with bytecode that is not its own, or is broken', () => {
    const file = scratch.write('file.cjs', SOURCE)
    keepBytecode(file, loadCompiled(file).script)
    writeFileSync(file, SOURCE.replace('2 *', '3 + '))
    expect(load(file)).to.include({ rejected: true })
    expect(load(file).double(4)).to.equal(7)
    const bytecode = join(dirname(file), 'file.bytecode')
    for (const broken of [Buffer.alloc(0), Buffer.alloc(1000), readFileSync(bytecode).subarray(0, 200)]) {
      writeFileSync(bytecode, broken)
      expect(load(file).double(4)).to.equal(7)
    }
  })

  it('is what the server that was built consists of, and its bytecode is taken', () => {
    const root = dirname(dirname(builtProgram()))
    const script = `
      import { loadCompiled } from ${JSON.stringify(pathToFileURL(join(root, 'bin/compiled.js')).href)}
      const { exports, script } = loadCompiled(${JSON.stringify(join(root, 'dist/server.cjs'))})
      console.log(JSON.stringify([Object.keys(exports), script.cachedDataRejected]))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    })
    expect(JSON.parse(output)).to.deep.equal([['readCheckedConfig', 'runServer'], false])
  })
})
