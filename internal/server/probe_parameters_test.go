package server

// parameterProbes: the parameters of MAIL but for those with tables of their own.
const parameterProbes = `
== SIZE below the limit | RFC 1870 6.1
C: MAIL FROM:<bob@fabrikam.example> SIZE=37748736
S: 250 2.1.0

== SIZE above the limit | RFC 1870 6.1
C: MAIL FROM:<bob@fabrikam.example> SIZE=37748737
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1000
S: 250

== SIZE of nothing | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=0
S: 250

== SIZE of 20 digits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=00000000000000000001
S: 250

== SIZE of more than 32 and 64 bits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=4294967297
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=18446744073709551617
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=99999999999999999999
S: 552 5.3.4

== SIZE of 21 digits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=000000000000000000001
S: 501 5.5.4

== SIZE that is no number | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=ten
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=-1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=+1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1.5
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=0x10
S: 501 5.5.4

== SIZE without a value | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=
S: 501 5.5.4

== SIZE twice | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> SIZE=1 SIZE=2
S: 501 5.5.4

== SIZE in any case | RFC 5321 2.4
C: MAIL FROM:<bob@fabrikam.example> size=1 Body=8bitmime
S: 250

== SIZE that was a lie | RFC 1870 6.3
C: MAIL FROM:<bob@fabrikam.example> SIZE=3
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: Subject: more than three octets
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== SIZE where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> SIZE=1
S: 555

== a parameter that nobody knows | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> FOO=bar
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> FOO
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1 X-FOO=bar
S: 555 5.5.4

== a parameter of extensions that are not offered | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> HOLDFOR=60
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BY=60;R
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> MT-PRIORITY=3
S: 555 5.5.4

== a parameter of RCPT | RFC 3461 4.1
C: MAIL FROM:<bob@fabrikam.example> NOTIFY=NEVER
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ORCPT=rfc822;kim@contoso.example
S: 555 5.5.4

== AUTH= where AUTH is not offered | RFC 4954 5
C: MAIL FROM:<bob@fabrikam.example> AUTH=<>
S: 555 5.5.4

== a parameter without a space before it | RFC 5321 4.1.2, Mail-parameters
C: MAIL FROM:<bob@fabrikam.example>SIZE=1
S: 501

== a parameter without a keyword | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> =1
S: 501 5.5.4

== a keyword that begins with a hyphen | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> -SIZE=1
S: 501 5.5.4

== a keyword with an underscore | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> SI_ZE=1
S: 501 5.5.4

== a value with an equals sign | RFC 5321 4.1.2, esmtp-value
C: MAIL FROM:<bob@fabrikam.example> SIZE=1=2
S: 501 5.5.4

== a parameter without a path | RFC 5321 4.1.1.2
C: MAIL FROM: SIZE=1
S: 501

== parameters with more than a space between | RFC 5321 4.1.1
C: MAIL FROM:<bob@fabrikam.example>  SIZE=1   BODY=7BIT
S: 250

== BODY | RFC 6152 2
C: MAIL FROM:<bob@fabrikam.example> BODY=7BIT
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
S: 250

== BODY of another kind | RFC 6152 2
C: MAIL FROM:<bob@fabrikam.example> BODY=9BIT
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BODY=
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BODY
S: 501 5.5.4

== BODY goes on to the next hop | RFC 6152 3
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: Subject: x
C:
C: gr{xfc}n
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> gr{xfc}n

== BODY where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 555

== a value that is not US-ASCII | RFC 3461 4, RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> ENVID=ü
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=١
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> FOO=ü
S: 555 5.5.4

== a keyword that is not US-ASCII | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> SİZE=1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ſize=1
S: 501 5.5.4

== FROM that is not US-ASCII | RFC 5321 4.1.1.2
C: MAIL FROM：<bob@fabrikam.example>
S: 501

== a parameter that is malformed behind one that is not known | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> FOO =
S: 555 5.5.4

== a source route of domains in UTF-8 | RFC 6531 3.3
C: MAIL FROM:<@bücher.example:bob@fabrikam.example> SMTPUTF8
S: 250

== many parameters | RFC 5321 4.1.1.11 | in=tls
C: MAIL FROM:<bób@fabrikam.example> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID={e*100}
S: 250
`
