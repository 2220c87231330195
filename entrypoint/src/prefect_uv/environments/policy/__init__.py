"""The policy: `policy` has its rules, `verdict` what they say about an environment, and a warm start needs no more.

`package_facts` is what is kept in an environment for that, `rules`, `licenses` and `advisories` work a verdict out, and
`policy_check` decides when (ADR 38).
"""
