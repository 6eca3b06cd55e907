import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { expect } from 'chai'
import { UnfinishedFile } from '../../../src/cli/unfinished-file.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

describe('UnfinishedFile', () => {
  const scratch = useScratch()

  async function write(file: UnfinishedFile, text: string): Promise<void> {
    file.stream.end(text)
    await once(file.stream, 'close')
  }

  it('has its name when it is whole, and is for its owner alone', async () => {
    const path = scratch.path('a')
    const file = await UnfinishedFile.create(path)
    await write(file, 'text')
    expect(existsSync(path)).to.equal(false)
    await file.finish()
    expect(readFileSync(path, 'utf8')).to.equal('text')
    expect(statSync(path).mode & 0o777).to.equal(0o600)
    expect(readdirSync(scratch.directory)).to.deep.equal(['a'])
  })

  it('leaves nothing when it is given up', async () => {
    const file = await UnfinishedFile.create(scratch.path('a'))
    await file.discard()
    expect(readdirSync(scratch.directory)).to.deep.equal([])
  })

  it('takes the place of no other, whenever that came', async () => {
    const path = scratch.write('a', 'theirs')
    expect(await rejection(UnfinishedFile.create(path))).to.have.property(
      'message',
      `${path} exists already and has been left as it is`,
    )
    const file = await UnfinishedFile.create(scratch.path('b'))
    await write(file, 'ours')
    scratch.write('b', 'theirs')
    expect(((await rejection(file.finish())) as Error).message).to.contain('has been left as it is')
    await file.discard()
    expect(readFileSync(scratch.path('b'), 'utf8')).to.equal('theirs')
    expect(readdirSync(scratch.directory).sort()).to.deep.equal(['a', 'b'])
  })

  it('says where no file can be made', async () => {
    const path = scratch.path('none/a')
    expect(((await rejection(UnfinishedFile.create(path))) as Error).message).to.contain(
      `Cannot write ${path}: ENOENT`,
    )
  })
})
