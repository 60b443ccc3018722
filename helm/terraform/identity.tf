locals {
  issuer = trimprefix(aws_iam_openid_connect_provider.cluster.url, "https://")
}

# Scheduler and executors, and nobody else in the cluster.
data "aws_iam_policy_document" "service_assume" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.cluster.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "service" {
  # Without it, what is not there answers 403 and not 404. A condition on the prefix would bring that back: such a
  # request has none. The bucket holds nothing else.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.store.arn]
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.store.arn}/${var.store_prefix}/*"]
  }

  # Decrypt is needed for uploads in parts too.
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.main["store"].arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "service" {
  name                 = "${var.name}-service"
  assume_role_policy   = data.aws_iam_policy_document.service_assume.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "service" {
  name   = "store"
  role   = aws_iam_role.service.id
  policy = data.aws_iam_policy_document.service.json
}
