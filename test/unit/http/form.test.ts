import { PassThrough, Readable } from 'node:stream'
import { expect } from 'chai'
import { RequestAbortedError } from '../../../src/http/body.js'
import { readForm } from '../../../src/http/form.js'
import { rejection } from '../../support/rejection.js'

const TYPE = 'application/x-www-form-urlencoded'

function read(text: string, type: string | undefined = TYPE) {
  return readForm({ stream: Readable.from([Buffer.from(text)]), headers: { 'content-type': type } })
}

describe('http/form', () => {
  it('gives the fields, the first of each name', async () => {
    const fields = await read('a=1&b=x+y%26z&a=2&c=%C3%BC&d', `${TYPE}; charset=UTF-8`)
    expect(Object.fromEntries(fields)).to.deep.equal({ a: '1', b: 'x y&z', c: 'ü', d: '' })
    expect((await read('')).size).to.equal(0)
  })

  it('refuses other types, forms that are too large, and U+0000', async () => {
    expect(await rejection(read('{}', 'application/json'))).to.include({ errcode: 'M_BAD_JSON' })
    expect(await rejection(read(`a=${'x'.repeat(16 * 1024)}`))).to.include({ errcode: 'M_TOO_LARGE' })
    expect(await rejection(read('a=%00'))).to.include({ errcode: 'M_INVALID_PARAM' })
  })

  it('knows when the client goes away', async () => {
    const stream = new PassThrough()
    const reading = rejection(readForm({ stream, headers: { 'content-type': TYPE } }))
    stream.write('a=')
    stream.destroy()
    expect(await reading).to.be.instanceOf(RequestAbortedError)
  })

  it('never holds half of a character', async () => {
    expect((await read('a=%ED%A0%80')).get('a')?.isWellFormed()).to.equal(true)
  })
})
