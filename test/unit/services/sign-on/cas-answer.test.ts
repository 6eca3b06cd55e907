import { expect } from 'chai'
import { parseCasAnswer } from '../../../../src/services/sign-on/cas-answer.js'
import { casAnswer } from '../../../support/fake-cas-server.js'

const success = (inner: string): string =>
  casAnswer(`<cas:authenticationSuccess>${inner}</cas:authenticationSuccess>`)

async function read(xml: string): Promise<unknown> {
  const answer = await parseCasAnswer(xml)
  if (!('user' in answer)) return answer
  return { name: answer.user.name, attributes: Object.fromEntries(answer.user.attributes) }
}

describe('answers of CAS servers', () => {
  it('name somebody, with what is known of them', async () => {
    const attributes =
      '<cas:attributes><cas:mail>a@b</cas:mail><cas:group>x</cas:group><cas:group> y </cas:group><cas:none/></cas:attributes>'
    expect(await read(success(`<cas:user>alice</cas:user>${attributes}`))).to.deep.equal({
      name: 'alice',
      attributes: { mail: ['a@b'], group: ['x', 'y'], none: [''] },
    })
    expect(
      await read(`<?xml version="1.0"?>\n${success('<cas:user>\n  ü &amp; b\n</cas:user>')}`),
    ).to.deep.equal({
      name: 'ü & b',
      attributes: {},
    })
  })

  it('are read as a whole, whatever stands between', async () => {
    // Who reads only the text before a comment takes somebody for somebody else.
    expect(await read(success('<cas:user>admin<!-- x -->istrator</cas:user>'))).to.include({
      name: 'administrator',
    })
    expect(await read(success('<cas:user><![CDATA[a<b]]></cas:user>'))).to.include({ name: 'a<b' })
  })

  it('may refuse', async () => {
    const refused = '<cas:authenticationFailure code="INVALID_TICKET">x</cas:authenticationFailure>'
    expect(await read(casAnswer(refused))).to.deep.equal({ refused: 'INVALID_TICKET' })
    expect(await read(casAnswer('<cas:authenticationFailure/>'))).to.deep.equal({ refused: 'INTERNAL_ERROR' })
    // What comes after a refusal is no success.
    expect(
      await read(
        casAnswer(`${refused}<cas:authenticationSuccess><cas:user>a</cas:user></cas:authenticationSuccess>`),
      ),
    ).to.deep.equal({ refused: 'INVALID_TICKET' })
  })

  it('are refused where they are none, or name nobody, or two', async () => {
    for (const xml of [
      '',
      'yes\nalice\n',
      '<html><body>Log in</body></html>',
      '<cas:serviceResponse>',
      casAnswer(''),
      casAnswer('<cas:proxySuccess/>'),
      success(''),
      success('<cas:user/>'),
      success('<cas:user> </cas:user>'),
      success('<cas:user>a</cas:user><cas:user>b</cas:user>'),
      success('<cas:superuser>a</cas:superuser>'),
      success('<x><cas:user>a</cas:user></x>'),
      success('<cas:user>a</cas:user>').replace('</cas:serviceResponse>', ''),
    ]) {
      expect(await read(xml), xml).to.have.property('malformed')
    }
  })

  it('are not nested without end', async () => {
    const deep = `${'<a>'.repeat(30_000)}${'</a>'.repeat(30_000)}`
    const answer = await read(
      success(`<cas:user>a</cas:user><cas:attributes><cas:x>${deep}</cas:x></cas:attributes>`),
    )
    expect(answer).to.satisfy((value: object) => 'malformed' in value || 'name' in value)
  })

  it('bring no entities along', async () => {
    const bomb =
      '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>' +
      success('<cas:user>&b;</cas:user>')
    expect(await read(bomb)).to.deep.equal({ malformed: 'it has a document type' })
    const outer = '<!doctype x SYSTEM "file:///etc/passwd">' + success('<cas:user>a</cas:user>')
    expect(await read(outer)).to.have.property('malformed')
    expect(await read(success('<cas:user>&unknown;</cas:user>'))).to.have.property('malformed')
  })
})
