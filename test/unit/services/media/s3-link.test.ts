import { expect } from 'chai'
import { signedLink } from '../../../../src/services/media/s3-link.js'

describe('a signed link', () => {
  const request = {
    base: new URL('https://examplebucket.s3.amazonaws.com/'),
    key: 'test.txt',
    region: 'us-east-1',
    credentials: {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    },
    parameters: {},
    now: new Date('2013-05-24T00:00:00Z'),
    lifetimeSeconds: 86_400,
  }

  it('is that of the example in the description of S3', () => {
    expect(signedLink(request)).to.equal(
      'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256' +
        '&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
        '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
        '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })

  it('keeps what a name may hold', () => {
    const link = new URL(
      signedLink({
        ...request,
        base: new URL('http://127.0.0.1:9000/bucket'),
        key: "a dir/it's (1)*é.png",
        credentials: { ...request.credentials, sessionToken: 'a/token+' },
        parameters: { 'response-content-disposition': `inline; filename="a'b(c).png"` },
      }),
    )
    expect(link.pathname).to.equal('/bucket/a%20dir/it%27s%20%281%29%2A%C3%A9.png')
    expect(link.search).to.contain('filename%3D%22a%27b%28c%29.png%22')
    expect(link.searchParams.get('response-content-disposition')).to.equal(`inline; filename="a'b(c).png"`)
    expect(link.searchParams.get('X-Amz-Security-Token')).to.equal('a/token+')
  })
})
