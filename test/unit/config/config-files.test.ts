import { mkdirSync } from 'node:fs'
import { expect } from 'chai'
import { ConfigError } from '../../../src/config/config-error.js'
import { readConfigFiles } from '../../../src/config/config-files.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

describe('readConfigFiles', () => {
  const scratch = useScratch()

  it('lets later files replace top-level keys as a whole', async () => {
    const first = scratch.write(
      'a.yaml',
      'server_name: a.org\ncaches: {global_factor: 1, expire_caches: false}\n',
    )
    const second = scratch.write('b.yaml', '\ncaches: {global_factor: 2}\n')
    const files = await readConfigFiles([first, second])
    expect(files.values).to.deep.equal({ server_name: 'a.org', caches: { global_factor: 2 } })
    expect(files.locate(['caches', 'global_factor'])).to.include({ file: second, line: 2 })
    expect(files.locate(['server_name'])).to.include({ file: first, line: 1 })
  })

  it('reads the YAML files of a directory in the order of their names', async () => {
    mkdirSync(scratch.path('conf.d'))
    scratch.write('conf.d/20-b.yaml', 'pid_file: b\n')
    scratch.write('conf.d/10-a.yaml', 'pid_file: a\nserver_name: a.org\n')
    scratch.write('conf.d/30-c.yml', 'pid_file: c\n')
    scratch.write('conf.d/README', 'not: yaml: at all\n')
    const files = await readConfigFiles([scratch.path('conf.d')])
    expect(files.values).to.deep.equal({ pid_file: 'b', server_name: 'a.org' })
  })

  it('names all files that cannot be read', async () => {
    const bad = scratch.write('bad.yaml', 'a: [\n')
    const error = (await rejection(readConfigFiles([scratch.path('none.yaml'), bad]))) as ConfigError
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.issues).to.have.length(2)
    expect(error.message).to.contain('none.yaml: there is no such file').and.contain('bad.yaml:2:1')
  })
})
