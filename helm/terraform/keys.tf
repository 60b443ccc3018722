data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# One key each, so that who may read the one need not be able to read the others.
resource "aws_kms_key" "main" {
  for_each = toset(["cluster", "database", "store"])

  description             = "${var.name}: ${each.key}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "main" {
  for_each = aws_kms_key.main

  name          = "alias/${var.name}-${each.key}"
  target_key_id = each.value.key_id
}

# The account decides by its IAM policies.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}
