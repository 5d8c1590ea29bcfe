package lock

var digestCases = []struct {
	tool    Format
	variant int
	text    string
	want    string
}{
	{Poetry, 0, "ALL[tool.poetry]\nname = \"x\"\n", "c7025b2a3a818c12a2654dfbd6f9fc3b83e4df6d2f9e307c8c5e9cb3f81cf585"},
	{Poetry, 1, "ALL[tool.poetry]\nname = \"x\"\n", "c7025b2a3a818c12a2654dfbd6f9fc3b83e4df6d2f9e307c8c5e9cb3f81cf585"},
	{Poetry, 0, "ALL[dependency-groups]\na = [\"b\"]\n", "b6991d05888b6b56419507430782db00de5d34d7a71600cb1cbbf86043d0dd9c"},
	{Poetry, 1, "ALL[dependency-groups]\na = [\"b\"]\n", "c7025b2a3a818c12a2654dfbd6f9fc3b83e4df6d2f9e307c8c5e9cb3f81cf585"},
	{Poetry, 0, "ALL[project]\nname = \"x\"\ndependencies = [\"b>=1\"]\n[dependency-groups]\na = [\"b\"]\n", "1100838eda010b2753a6101d9d7b9b993c1a30bb3e26feddb22def7b35d65d48"},
	{Poetry, 1, "ALL[project]\nname = \"x\"\ndependencies = [\"b>=1\"]\n[dependency-groups]\na = [\"b\"]\n", "552372ddbba8776e31299d1356857079d8cafb71f903600fde435c623bf1e75c"},
	{Poetry, 0, "[tool.poetry]\nname = \"x\"\n[tool.poetry.dev-dependencies]\nq = \"*\"\n[[tool.poetry.source]]\nname = \"s\"\nurl = \"https://index.example.com\"\n", "09d16de0c881caf5e35b1f9f7739c94fc6a39468db56c5c62bb01d1feacb888a"},
	{Poetry, 1, "[tool.poetry]\nname = \"x\"\n[tool.poetry.dev-dependencies]\nq = \"*\"\n[[tool.poetry.source]]\nname = \"s\"\nurl = \"https://index.example.com\"\n", "09d16de0c881caf5e35b1f9f7739c94fc6a39468db56c5c62bb01d1feacb888a"},
	{PDM, 0, "[project]\nname = \"x\"\n", "ece479d1fc26bbc1091a4114e084312c6b77c8f8fc20195e68cc6393ef0b33d9"},
	{PDM, 0, "[project]\ndependencies = [\"b\"]\nrequires-python = \">=3.9\"\n[project.optional-dependencies]\no = [\"p\"]\n[dependency-groups]\nA_b = [\"x\", {include-group = \"c\"}]\nc = []\n[tool.pdm.dev-dependencies]\n\"a.b\" = [\"-e ./y\"]\n[[tool.pdm.source]]\nname = \"s\"\nurl = \"https://index.example.com\"\nverify_ssl = true\n[tool.pdm.resolution]\nallow-prereleases = true\n[tool.pdm.resolution.overrides]\nx = \"1\"\n", "3f7d55f91e029a436453da6507114ff8dee582467e7859d74322842c0610b962"},
	{Pipfile, 1, "[[source]]\nname = \"s\"\nurl = \"https://index.example.com\"\nverify_ssl = true\n[packages]\nFlask_X = \"*\"\ny = {version = \">=1\", extras = [\"a\"]}\n[dev-packages]\n[requires]\npython_version = \"3.13\"\n[docs]\nSphinx = \"*\"\n[scripts]\nq = \"r\"\n[pipenv]\nallow_prereleases = true\n", "4ece2bcf174223c05ce3b6781a73127f249fc917a9051f6acac90dab9df50680"},
	{Pipfile, 0, "[[source]]\nname = \"s\"\nurl = \"https://index.example.com\"\nverify_ssl = true\n[packages]\nFlask_X = \"*\"\ny = {version = \">=1\", extras = [\"a\"]}\n[dev-packages]\n[requires]\npython_version = \"3.13\"\n[docs]\nSphinx = \"*\"\n[scripts]\nq = \"r\"\n[pipenv]\nallow_prereleases = true\n", "1edfcc722af62d94eacae3796b5ca61bb2cc2d340b67c605a94cd3bdc01856a5"},
}
