import { expect } from 'chai'
import { DirectoryNames } from '../../../../src/services/accounts/directory-names.js'
import { escapeDnValue } from '../../../../src/services/accounts/ldap-passwords.js'

describe('a name as a part of a DN', () => {
  it('stays a value, whatever is in it', () => {
    const escaped = {
      alice: 'alice',
      'a b': 'a b',
      ' a  ': '\\ a \\ ',
      ' ': '\\ ',
      '#a#': '\\#a#',
      'x,dc=y': 'x\\,dc\\=y',
      '\\,': '\\\\\\,',
      '\\ ': '\\\\\\ ',
      '"+<>;': '\\"\\+\\<\\>\\;',
      'a\0b': 'a\\00b',
    }
    for (const [value, wanted] of Object.entries(escaped)) {
      expect(escapeDnValue(value), JSON.stringify(value)).to.equal(wanted)
    }
  })
})

describe('names of an Active Directory', () => {
  it('have a domain', async () => {
    const names = new DirectoryNames({ defaultDomain: 'main.test' })
    expect(await names.of('Ann')).to.deep.equal({
      uid: 'ann@main.test',
      localpart: 'ann',
      displayName: 'ann',
    })
    expect(await names.of('ann/Sub.Test')).to.include({ uid: 'ann@sub.test', localpart: 'ann/sub.test' })
    // Nobody says what the whole domain is.
    expect(await names.of('sub\\ann')).to.include({ uid: 'ann@sub', localpart: 'ann/sub' })
    for (const odd of ['a@b', 'a/b/c', 'a\\b\\c', '/x', 'x/', '', 'a/b\\c', 'a/b@c'])
      expect(await names.of(odd), odd).to.equal(undefined)
    expect(names.localpartOf('Ann@Main.Test')).to.equal('ann')
    expect(names.localpartOf('ann@sub.test')).to.equal('ann/sub.test')
    expect(names.localpartOf('Ann')).to.equal('Ann')
    expect(await new DirectoryNames({ defaultDomain: undefined }).of('ann')).to.equal(undefined)
  })
})
