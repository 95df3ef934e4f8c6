select * from {{ ref('second') }} where {{ var('test_finds') }} > 0
